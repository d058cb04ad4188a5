"""What a run leaves on disk. The results file is the truth; everything else can be rebuilt."""
