output "address" {
  value = aws_db_instance.primary.address
}

output "replica_address" {
  value = one(aws_db_instance.replica[*].address)
}

output "arn" {
  value = aws_db_instance.primary.arn
}

output "identifier" {
  value = aws_db_instance.primary.identifier
}

output "master_secret_arn" {
  value = aws_db_instance.primary.master_user_secret[0].secret_arn
}

output "kms_key_arn" {
  value = aws_kms_key.this.arn
}
