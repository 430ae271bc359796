"""Two drivers of one clinical text: batch, where nothing is scarce, and ward, where beds and doses are."""
