"""The commands behind `watchgate`: one file a group, each with `add_parser`."""
