package switchboard

import (
	"reflect"
	"testing"
)

// What an App has reaches the command line, all of it.
func TestAppIsHandedOverWhole(t *testing.T) {
	t.Parallel()
	var a App
	fill(reflect.ValueOf(&a).Elem())
	handed := reflect.ValueOf(a.plain(&Workspaces{}))
	for i := range handed.NumField() {
		if handed.Field(i).IsZero() {
			t.Errorf("%s isn't handed over", handed.Type().Field(i).Name)
		}
	}
}

// fill gives v a value that isn't zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString("x")
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) (results []reflect.Value) {
			for i := range v.Type().NumOut() {
				result := reflect.New(v.Type().Out(i)).Elem()
				fill(result)
				results = append(results, result)
			}
			return results
		}))
	}
}
