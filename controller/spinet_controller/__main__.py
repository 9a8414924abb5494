"""`python -m spinet_controller` is the command line."""

from spinet_controller.cli.main import main

if __name__ == "__main__":
    main()
