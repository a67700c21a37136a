"""Behind dataset_tool.py: pictures from folders, archives and published data sets, on their way into records."""
