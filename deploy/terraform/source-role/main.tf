# In an account that owns a bucket with CloudTrail deliveries, or that has no trail: the role that an orgtrail agent assumes to
# read the one, or the account's event history. Each further thing that it may do is a statement of its own and a variable.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_partition" "this" {}

locals {
  # Without a bucket there is nothing of S3 to allow.
  with_bucket = var.bucket == "" ? [] : [1]
  bucket_arn  = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}"
  # With a slash at its end, or nothing.
  above = var.prefix == "" ? "" : "${var.prefix}/"
}

data "aws_iam_policy_document" "trust" {
  statement {
    sid     = "OrgtrailAgentWithItsExternalId"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.collector_role_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }
  }
}

data "aws_iam_policy_document" "read" {
  dynamic "statement" {
    for_each = local.with_bucket

    content {
      sid       = "FindTheBucket"
      actions   = ["s3:GetBucketLocation"]
      resources = [local.bucket_arn]
    }
  }

  dynamic "statement" {
    for_each = local.with_bucket

    content {
      sid       = "ListDeliveries"
      actions   = ["s3:ListBucket"]
      resources = [local.bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        # The agent looks for AWSLogs/ from the location down; Control Tower puts it below o-…/.
        values = [local.above, "${local.above}AWSLogs/*", "${local.above}o-*"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.with_bucket

    content {
      sid       = "ReadDeliveries"
      actions   = ["s3:GetObject"]
      resources = ["${local.bucket_arn}/${local.above}AWSLogs/*", "${local.bucket_arn}/${local.above}o-*/AWSLogs/*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.kms_key_arns) > 0 ? [1] : []

    content {
      sid       = "DecryptDeliveries"
      actions   = ["kms:Decrypt"]
      resources = var.kms_key_arns

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.*.${data.aws_partition.this.dns_suffix}"]
      }
    }
  }

  # For sources with digest_keys = "api".
  dynamic "statement" {
    for_each = var.verify_digests ? [1] : []

    content {
      sid       = "ListPublicKeys"
      actions   = ["cloudtrail:ListPublicKeys"]
      resources = ["*"]
    }
  }

  # For [sources.notifications].
  dynamic "statement" {
    for_each = length(var.queue_arns) > 0 ? [1] : []

    content {
      sid       = "TakeNotificationsOfNewObjects"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = var.queue_arns
    }
  }

  dynamic "statement" {
    for_each = length(var.queue_kms_key_arns) > 0 ? [1] : []

    content {
      sid       = "DecryptMessagesOfAnEncryptedQueue"
      actions   = ["kms:Decrypt"]
      resources = var.queue_kms_key_arns

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["sqs.*.${data.aws_partition.this.dns_suffix}"]
      }
    }
  }

  # For sources of kind "lookup_events".
  dynamic "statement" {
    for_each = var.lookup_events ? [1] : []

    content {
      sid       = "ReadTheEventHistory"
      actions   = ["cloudtrail:LookupEvents"]
      resources = ["*"]
    }
  }

  # For [[organizations]]: in the management account, or in a member that is a delegated administrator.
  dynamic "statement" {
    for_each = var.read_organization ? [1] : []

    content {
      sid = "FindTheOrganizationsAccounts"
      actions = [
        "organizations:ListAccounts",
        "organizations:ListTagsForResource",
        "organizations:ListParents"
      ]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = var.read_organization || var.lookup_events ? [1] : []

    content {
      sid       = "FindTheAccountsRegions"
      actions   = ["account:ListRegions"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "agent" {
  name                 = var.role_name
  description          = "Assumed by an orgtrail agent to read CloudTrail ${var.bucket == "" ? "event history" : "deliveries in ${var.bucket}"}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
  tags                 = var.tags
}

resource "aws_iam_role_policy" "read" {
  name   = "read-cloudtrail-deliveries"
  role   = aws_iam_role.agent.id
  policy = data.aws_iam_policy_document.read.json
}
