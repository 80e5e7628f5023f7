package doctor

// Disk is the file system that a folder is on.
type Disk struct {
	Free    uint64 // bytes that are left to us
	Files   uint64 // how many files fit beside those that are there; 0 with NoLimit
	NoLimit bool   // of files
	Passing string // what it is where it doesn't outlive the machine or the container: "memory (tmpfs)"; "": it does
}

// disk looks at the disk under a folder.
func (e *Examined) disk(folder string) (Disk, error) {
	if e.DiskOf != nil {
		return e.DiskOf(folder)
	}
	return diskOf(folder)
}
