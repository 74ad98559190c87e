"""The record: entries that are durable before anything is shown, and a log that shows when it was changed."""
