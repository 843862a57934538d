"""What the trials show, and the page that says it; trains nothing."""
