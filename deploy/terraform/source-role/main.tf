# In an account that owns a bucket with CloudTrail deliveries: the role that an orgtrail agent assumes to read it.

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
  bucket_arn = "arn:${data.aws_partition.this.partition}:s3:::${var.bucket}"
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
  statement {
    sid       = "FindTheBucket"
    actions   = ["s3:GetBucketLocation"]
    resources = [local.bucket_arn]
  }

  statement {
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

  statement {
    sid       = "ReadDeliveries"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket_arn}/${local.above}AWSLogs/*", "${local.bucket_arn}/${local.above}o-*/AWSLogs/*"]
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
}

resource "aws_iam_role" "agent" {
  name                 = var.role_name
  description          = "Read by an orgtrail agent: CloudTrail deliveries in ${var.bucket}"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
  tags                 = var.tags
}

resource "aws_iam_role_policy" "read" {
  name   = "read-cloudtrail-deliveries"
  role   = aws_iam_role.agent.id
  policy = data.aws_iam_policy_document.read.json
}
