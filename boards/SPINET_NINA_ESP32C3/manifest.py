include("../chip/manifest.py")
freeze(".", "board.py")
