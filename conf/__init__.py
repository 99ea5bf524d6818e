"""The configuration tree, installed as the package vjo_train.conf."""
