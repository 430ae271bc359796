"""Why: `python -m cartsim.record > results/README.md` makes the data dictionary again."""

from cartsim.record.dictionary import data_dictionary

if __name__ == "__main__":
    print(data_dictionary(), end="")
