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
  description = "The bucket that CloudTrail delivers to."
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
