variable "bucket" {
  description = "The bucket to make."
  type        = string
}

variable "prefix" {
  description = "The prefix that the trail is delivered under, without slashes around it; empty for none."
  type        = string
  default     = ""
}

variable "aggregator_role_arn" {
  description = "The role that the aggregator runs as, or the role_arn of its trail."
  type        = string
}

variable "reader_role_arns" {
  description = "Roles that may decrypt what is delivered. Their permission to read the bucket is their own policy's."
  type        = list(string)
  default     = []
}

variable "signing_key_arns" {
  description = "The RSA_2048 keys for SIGN_VERIFY that digests are signed with, signing_key_id; while one replaces another, both."
  type        = list(string)
  default     = []
}

variable "topic_arns" {
  description = "SNS topics that delivered files are announced on, sns_topic. A topic under a KMS key needs kms:GenerateDataKey and kms:Decrypt on it, too."
  type        = list(string)
  default     = []
}

variable "log_group_arns" {
  description = "Log groups of [trails.cloudwatch_logs], without :* at the end."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of the bucket and the key."
  type        = map(string)
  default     = {}
}
