package seal_test

import (
	"errors"
	"fmt"

	"github.com/switchboard-go/switchboard/storage/seal"
)

// A new key comes first, and the old one stays for what it sealed.
func ExampleParseKeys() {
	old, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	acme := seal.Place{Column: "connections.token", App: "A1", Team: "T1"}
	box, err := old.Seal([]byte("xoxb-1-2-3"), acme)
	if err != nil {
		fmt.Println(err)
		return
	}

	secret, err := old.Open(box, acme)
	fmt.Println(string(secret), err)
	_, err = old.Open(box, seal.Place{Column: "connections.token", App: "A1", Team: "T2"})
	fmt.Println(errors.Is(err, seal.ErrSealed))

	other, err := seal.ParseKeys(seal.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = other.Open(box, acme)
	fmt.Println(errors.Is(err, seal.ErrSealed), other.Stale(&box))
	// Output:
	// xoxb-1-2-3 <nil>
	// true
	// true true
}
