"""What a run leaves behind: its folder and everything in it."""
