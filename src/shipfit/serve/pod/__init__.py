"""What runs in the pods of a deployment, one program a module; each ends with one line where something is wrong."""
