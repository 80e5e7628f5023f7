package seal

import "time"

// DerivedKey is what a place's secrets are sealed with on a day.
func DerivedKey(k *Keyring, day time.Time, at Place) string {
	box, err := k.SealOn(day, nil, at)
	if err != nil {
		panic(err)
	}
	return string(derive(k.keys[0].derived.root, at.purpose(), box[boxHeader:boxHeader+boxDerivedMore]))
}
