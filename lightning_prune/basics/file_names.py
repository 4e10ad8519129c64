"""The names of files, and of columns in them, that one part of the package writes and others read."""

METRICS = "metrics.csv"  # Lightning's CSVLogger, and the logger of the command line
RECORD = "pruning.json"  # IterativePruning: what is pruned, and every cycle
RATES = "rates.csv"  # the command line: the learning rates, wherever they change
LAST = "last.ckpt"  # Lightning's ModelCheckpoint, and every node of a study
STUDY = "study.json"  # a study: its arms, nodes and command
SIGNS_FROM_INITIAL, SIGNS_FROM_BEFORE = "signs_from_initial", "signs_from_before"  # SignChanges: its two shares
