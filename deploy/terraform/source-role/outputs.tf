output "role_arn" {
  description = "For role_arn of the source in the agent's configuration."
  value       = aws_iam_role.agent.arn
}
