"""Routes of Dev-PyNode, one module a section of the document."""
