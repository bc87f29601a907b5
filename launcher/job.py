"""The name by which jobs of version 0.1.0 start their driver: some may be queued yet. See `launcher.jobs.batch`."""

from launcher.jobs.batch import main

if __name__ == "__main__":
    main()
