"""One trial: build, train each fold, report each epoch, stop when told, checkpoint so that it can go on.

`trial`, `epochs` and `batches` import Keras; only trial processes load them.
"""
