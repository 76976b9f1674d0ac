package storage

// ReadFiles is [ReadFolder] of files that need not be on a disk.
var ReadFiles = readFiles
