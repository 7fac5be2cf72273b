"""Guards against texts that reward models fall for and no reader would."""
