"""What every room uses: checks, whole files, random states, and what errors say."""
