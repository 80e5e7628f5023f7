// Command deploy checks that the examples in deploy/ are what Kubernetes and Compose take: with the types and the schema
// of those two, which refuse names that they don't know. It's a module of its own, so that nobody who builds a bot
// downloads them.
//
//	go run . FOLDER
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string) error {
	objects, err := filepath.Glob(filepath.Join(folder, "deploy", "kubernetes", "*.yaml"))
	if err != nil {
		return err
	}
	if len(objects) < 2 {
		return fmt.Errorf("only %d files for Kubernetes", len(objects))
	}

	var problems []error
	for _, name := range objects {
		problems = append(problems, checkObjects(name))
	}
	return errors.Join(append(problems, checkCompose(folder))...)
}

// checkObjects decodes each document of a file strictly.
func checkObjects(name string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()

	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	defer func() { _ = documents.Close() }()

	var problems []error
	room := make([]byte, len(text))
	for {
		n, err := documents.Read(room)
		if errors.Is(err, io.EOF) {
			return errors.Join(problems...)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}

		_, kind, err := decoder.Decode(room[:n], nil, nil)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		fmt.Printf("%s: %s\n", filepath.Base(name), kind)
	}
}

// checkCompose loads the file as docker compose does. The files that it names needn't be there.
func checkCompose(folder string) error {
	options, err := cli.NewProjectOptions([]string{filepath.Join(folder, "compose.yaml")}, cli.WithoutEnvironmentResolution,
		cli.WithEnv([]string{"POSTGRES_PASSWORD=secret"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return fmt.Errorf("compose.yaml: %w", err)
	}
	fmt.Printf("compose.yaml: %d services\n", len(project.Services))
	return nil
}
