"""What every layer stands on: errors, folders, processes, progress. Nothing here knows of models or GPUs."""
