"""What is known of an adapter without labels, and the gate that decides whether it may serve."""
