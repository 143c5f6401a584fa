"""The lab's stand-in for flanneld: its job done with real parts of the kernel and etcd."""
