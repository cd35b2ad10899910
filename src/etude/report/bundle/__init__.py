"""The bundle beside a report: what a reviewer asks for, as an RO-Crate that needs nothing else.

`gather` finds the runs and the software that made them, `facts` their data and the computing,
`script` writes how to make them again, `prose` the page for people, `crate` the metadata, and
`write` puts it all into a folder.
"""
