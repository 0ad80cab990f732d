"""What a process counts about its clients, and how the counts of several processes are added up."""
