variable "collector_role_arn" {
  description = "The role that the agent itself runs as."
  type        = string
}

variable "external_id" {
  description = "What the agent's configuration gives as external_id for this source."
  type        = string

  validation {
    condition     = can(regex("^[\\w+=,.@:/-]{2,1224}$", var.external_id))
    error_message = "An external id has 2 to 1224 of a-z A-Z 0-9 _ + = , . @ : / -"
  }
}

variable "bucket" {
  description = "The bucket that CloudTrail delivers to; empty in an account without a trail."
  type        = string
}

variable "prefix" {
  description = "The trail's S3 key prefix, without slashes around it; empty for none. The source's location is then s3://bucket/prefix."
  type        = string
  default     = ""
}

variable "kms_key_arns" {
  description = "The keys that the trails encrypt with. Their key policies must let this account's roles decrypt, too."
  type        = list(string)
  default     = []
}

variable "verify_digests" {
  description = "Let the agent ask CloudTrail for the public keys of its digests, for sources with digest_keys = \"api\"."
  type        = bool
  default     = true
}

variable "queue_arns" {
  description = "SQS queues with notifications of new objects, for [sources.notifications]."
  type        = list(string)
  default     = []
}

variable "queue_kms_key_arns" {
  description = "The keys that those queues are encrypted with, where they are KMS keys of one's own."
  type        = list(string)
  default     = []
}

variable "lookup_events" {
  description = "Let the agent read the account's event history, for sources of kind \"lookup_events\"."
  type        = bool
  default     = false
}

variable "read_organization" {
  description = "Let the agent list the organization's accounts, for [[organizations]]: in the management account, or in a delegated administrator's."
  type        = bool
  default     = false
}

variable "role_name" {
  description = "The role's name, the same in every account so that the collector's policy can name it."
  type        = string
  default     = "orgtrail-agent"
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}
