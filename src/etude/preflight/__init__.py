"""What can be known of jobs before anything is written or started."""
