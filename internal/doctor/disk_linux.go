package doctor

import "syscall"

// passing are the file systems that go with the machine, or with the container.
// https://man7.org/linux/man-pages/man2/statfs.2.html
var passing = map[int64]string{
	0x01021994: "memory (tmpfs)",
	0x858458f6: "memory (ramfs)",
	0x794c7630: "a container's own layer (overlay)",
}

func diskOf(folder string) (Disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return Disk{}, err
	}
	return Disk{Free: s.Bavail * uint64(s.Bsize), Files: s.Ffree, NoLimit: s.Files == 0,
		Passing: passing[int64(s.Type)&0xffffffff]}, nil //nolint:unconvert // on some machines these are smaller
}
