"""The catalogue of all log events: a module for each subject, a class for each event.
`docs/events.md` is made from it."""
