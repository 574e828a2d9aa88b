output "location" {
  description = "For location of the trail in the aggregator's configuration."
  value       = "s3://${aws_s3_bucket.trail.id}${var.prefix == "" ? "" : "/${var.prefix}"}"
}

output "kms_key_id" {
  description = "For kms_key_id of the trail."
  value       = aws_kms_key.trail.arn
}

output "aggregator_policy_json" {
  description = "The policy to attach to the aggregator's role."
  value       = data.aws_iam_policy_document.aggregator.json
}
