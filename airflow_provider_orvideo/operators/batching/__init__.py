"""What `OrVideoBatchOperator` is made of: many orders in one task, each with a record and a line in a manifest."""
