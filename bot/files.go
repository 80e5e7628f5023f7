package bot

// Files that are said: uploaded, and then shared once where the handler speaks.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/switchboard-go/switchboard/install/slackapi"
)

// File is a file that Say shares. It is held in memory until it is uploaded; what is too large for that is for
// Request.Client.
type File struct {
	// Name is its name with an ending, by which Slack knows what it is: "report.csv".
	Name string
	// Title stands above it. "": the name.
	Title string
	// AltText says what is in a picture to those who don't see it, in at most 1,000 characters.
	AltText string
	// Content is what is in it. Slack takes no empty file, and none above 1 GB.
	Content []byte
}

// What stands behind the messages of what was said: the files of it by their ids, which are uploaded, or shared as
// well.
const (
	filesUploaded = "uploaded:"
	filesShared   = "shared:"
)

// errFilesPublic: Slack has no files that only one person sees.
var errFilesPublic = errors.New("files are seen by everybody in a conversation: they go with Say alone")

// share uploads r's files and shares them where req speaks, in one message, once across attempts: Slack completes an
// upload once, so one whose fate is not known is completed again. all are the messages that r became, and behind them
// what an earlier attempt noted of the files.
func (req *Request) share(ctx context.Context, place int, all []string, r Reply) error {
	noted := ""
	if last := len(all) - 1; last >= 0 && strings.HasPrefix(all[last], filesUploaded) {
		all, noted = all[:last], strings.TrimPrefix(all[last], filesUploaded)
	}

	ids := strings.Split(noted, ",")
	if noted == "" || len(ids) != len(r.Files) {
		var err error
		if ids, err = req.upload(ctx, r.Files); err != nil {
			return err
		}
		noted = ""
	}

	names := strings.Join(ids, ",")
	if noted == "" {
		req.said.keep(ctx, req, place, strings.Join(append(all, filesUploaded+names), " "))
	}
	if err := req.complete(ctx, ids, r.Files); err != nil &&
		(noted == "" || slackapi.SlackError(err) != "file_not_found") {
		return err
	}
	req.said.keep(ctx, req, place, strings.Join(append(all, filesShared+names), " "))
	return nil
}

// complete shares files that are uploaded where req speaks.
func (req *Request) complete(ctx context.Context, ids []string, files []File) error {
	summaries := make([]slack.FileSummary, len(ids))
	for i, id := range ids {
		summaries[i] = slack.FileSummary{ID: id, Title: cmp.Or(files[i].Title, files[i].Name)}
	}
	_, err := req.Client.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: summaries, Channel: req.ChannelID, ThreadTimestamp: req.ThreadTS,
	})
	if err != nil {
		return fmt.Errorf("share files: %w", err)
	}
	return nil
}

// upload gives files to Slack, which shows them to nobody yet, and returns their ids.
func (req *Request) upload(ctx context.Context, files []File) (ids []string, err error) {
	for _, f := range files {
		to, err := req.Client.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{
			FileName: f.Name, FileSize: len(f.Content), AltTxt: f.AltText,
		})
		if err != nil {
			return nil, fmt.Errorf("upload %s: %w", f.Name, err)
		}
		err = req.Client.UploadToURL(ctx, slack.UploadToURLParameters{
			UploadURL: to.UploadURL, Reader: bytes.NewReader(f.Content), Filename: f.Name,
		})
		if err != nil {
			return nil, fmt.Errorf("upload %s: %w", f.Name, slackapi.Cause(err))
		}
		ids = append(ids, to.FileID)
	}
	return ids, nil
}

// messagesOf are the ts in what stands of one place.
func messagesOf(all []string) []string {
	if last := len(all) - 1; last >= 0 && (strings.HasPrefix(all[last], filesUploaded) ||
		strings.HasPrefix(all[last], filesShared)) {
		return all[:last]
	}
	return all
}
