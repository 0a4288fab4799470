"""What `changeover doctor` looks at from the starter's side: settings, database, Temporal."""
