"""What a release is made of: pinned packages and vendored files, their licences and known weaknesses."""
