"""`python -m surgcam` is the program `surgcam`."""

import os
import sys

from ._program import program

os.execv(program(), ["surgcam", *sys.argv[1:]])
