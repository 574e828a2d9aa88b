# In the audit account: the bucket that one trail is delivered to, its key, and what the aggregator may do with both.
# How long objects are kept is not decided here: give the trail a `lifecycle`, or add a configuration of your own, or Object Lock.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  partition  = data.aws_partition.this.partition
  via_s3     = "s3.${data.aws_region.this.name}.${data.aws_partition.this.dns_suffix}"
  deliveries = "${aws_s3_bucket.trail.arn}/${var.prefix == "" ? "" : "${var.prefix}/"}AWSLogs/*"
}

resource "aws_s3_bucket" "trail" {
  bucket = var.bucket
  tags   = var.tags
}

resource "aws_s3_bucket_ownership_controls" "trail" {
  bucket = aws_s3_bucket.trail.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "trail" {
  bucket                  = aws_s3_bucket.trail.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "trail" {
  bucket = aws_s3_bucket.trail.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "trail" {
  bucket = aws_s3_bucket.trail.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.trail.arn
    }
  }
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "OrgtrailDelivers"
    actions   = ["s3:PutObject", "s3:PutObjectAcl", "s3:GetObject"]
    resources = [local.deliveries]

    principals {
      type        = "AWS"
      identifiers = [var.aggregator_role_arn]
    }
  }

  statement {
    sid       = "OrgtrailFindsListsAndKeepsTheBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"]
    resources = [aws_s3_bucket.trail.arn]

    principals {
      type        = "AWS"
      identifiers = [var.aggregator_role_arn]
    }
  }

  statement {
    sid       = "NobodyOverwritesADelivery"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = [local.deliveries]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.trail.arn, "${aws_s3_bucket.trail.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "trail" {
  bucket     = aws_s3_bucket.trail.id
  policy     = data.aws_iam_policy_document.bucket.json
  depends_on = [aws_s3_bucket_public_access_block.trail]
}

data "aws_iam_policy_document" "key" {
  statement {
    sid       = "AdministeredByItsAccount"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }

  statement {
    sid       = "OrgtrailEncryptsThroughS3"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [var.aggregator_role_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.via_s3]
    }
  }

  statement {
    sid       = "OrgtrailSealsItsStateFolder"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [var.aggregator_role_arn]
    }

    condition {
      test     = "Null"
      variable = "kms:EncryptionContext:orgtrail:state-dir"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = length(var.reader_role_arns) > 0 ? [1] : []

    content {
      sid       = "ReadersDecryptThroughS3"
      actions   = ["kms:Decrypt"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = var.reader_role_arns
      }

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [local.via_s3]
      }
    }
  }
}

resource "aws_kms_key" "trail" {
  description         = "orgtrail deliveries in ${var.bucket}"
  policy              = data.aws_iam_policy_document.key.json
  enable_key_rotation = true
  tags                = var.tags
}

# The aggregator's own permissions, to be attached to the role that it runs as, where that role is in this account.
data "aws_iam_policy_document" "aggregator" {
  statement {
    sid       = "FindTheBucket"
    actions   = ["s3:GetBucketLocation"]
    resources = [aws_s3_bucket.trail.arn]
  }

  statement {
    sid       = "CreateObjectsAndCompareAfterACrash"
    actions   = ["s3:PutObject", "s3:PutObjectAcl", "s3:GetObject"]
    resources = [local.deliveries]
  }

  statement {
    sid       = "EncryptAndCompareAfterACrash"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.trail.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [local.via_s3]
    }
  }

  # For replays out of the trail.
  statement {
    sid       = "ListWhatIsReplayed"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.trail.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.prefix == "" ? "" : "${var.prefix}/"}AWSLogs/*"]
    }
  }

  # For `lifecycle`, and to remove its rule again. S3 asks for the same permission to delete the last rule.
  statement {
    sid       = "KeepTheLifecycleRule"
    actions   = ["s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"]
    resources = [aws_s3_bucket.trail.arn]
  }

  # For [seal] under the trail's key.
  statement {
    sid       = "SealTheStateFolder"
    actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
    resources = [aws_kms_key.trail.arn]

    condition {
      test     = "Null"
      variable = "kms:EncryptionContext:orgtrail:state-dir"
      values   = ["false"]
    }
  }

  # For signing_key_id.
  dynamic "statement" {
    for_each = length(var.signing_key_arns) > 0 ? [1] : []

    content {
      sid       = "SignDigests"
      actions   = ["kms:Sign", "kms:GetPublicKey"]
      resources = var.signing_key_arns
    }
  }

  # For sns_topic.
  dynamic "statement" {
    for_each = length(var.topic_arns) > 0 ? [1] : []

    content {
      sid       = "AnnounceFiles"
      actions   = ["sns:Publish"]
      resources = var.topic_arns
    }
  }

  # For [trails.cloudwatch_logs]. CreateLogGroup may go where the group is there.
  dynamic "statement" {
    for_each = length(var.log_group_arns) > 0 ? [1] : []

    content {
      sid       = "WriteLogEvents"
      actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
      resources = flatten([for arn in var.log_group_arns : [arn, "${arn}:*"]])
    }
  }
}
