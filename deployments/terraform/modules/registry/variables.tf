variable "images" {
  description = "A repository for each."
  type        = list(string)
}
