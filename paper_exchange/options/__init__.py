"""What users can set on the command line, a file for each subject: the options and what they are turned into."""
