/* classifold: image classifiers of ONNX files, through ONNX Runtime. Written by cbindgen from deploy/capi/src. */

#ifndef CLASSIFOLD_H
#define CLASSIFOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Result of a call. The numbers stay what they are.
typedef enum ClassifoldStatus {
  // Done.
  CLASSIFOLD_STATUS_OK = 0,
  // The image: its file, its bytes, its size. Another image may do.
  CLASSIFOLD_STATUS_IMAGE = 1,
  // The model file or its card. No image will do.
  CLASSIFOLD_STATUS_MODEL = 2,
  // The machine: ONNX Runtime, a provider, the disk. The same call may do elsewhere.
  CLASSIFOLD_STATUS_RUNTIME = 3,
  // The caller asked for what cannot be: a mistake of the program.
  CLASSIFOLD_STATUS_ARGUMENT = 4,
  // The call was cancelled.
  CLASSIFOLD_STATUS_CANCELLED = 5,
  // The time of `classifold_options_set_timeout` has passed.
  CLASSIFOLD_STATUS_TIMEOUT = 6,
  // Every session is in use.
  CLASSIFOLD_STATUS_BUSY = 7,
  // A fault of this library; please report it.
  CLASSIFOLD_STATUS_INTERNAL = 100,
} ClassifoldStatus;

// Channels of a pixel.
typedef enum ClassifoldPixelFormat {
  // Red, green, blue: 3 bytes.
  CLASSIFOLD_PIXEL_FORMAT_RGB8 = 0,
  // Blue, green, red: 3 bytes, as OpenCV has them.
  CLASSIFOLD_PIXEL_FORMAT_BGR8 = 1,
  // Red, green, blue, alpha: 4 bytes.
  CLASSIFOLD_PIXEL_FORMAT_RGBA8 = 2,
  // Blue, green, red, alpha: 4 bytes.
  CLASSIFOLD_PIXEL_FORMAT_BGRA8 = 3,
  // Gray: 1 byte.
  CLASSIFOLD_PIXEL_FORMAT_GRAY8 = 4,
  // Gray: 2 bytes in the machine's order; clipped at 255.
  CLASSIFOLD_PIXEL_FORMAT_GRAY16 = 5,
} ClassifoldPixelFormat;

// Coefficients of luma and chroma.
typedef enum ClassifoldYuvMatrix {
  // ITU-R BT.601: standard definition, JPEG, most webcams.
  CLASSIFOLD_YUV_MATRIX_BT601 = 0,
  // ITU-R BT.709: high definition.
  CLASSIFOLD_YUV_MATRIX_BT709 = 1,
  // ITU-R BT.2020: ultra-high definition.
  CLASSIFOLD_YUV_MATRIX_BT2020 = 2,
} ClassifoldYuvMatrix;

// Range of luma and chroma.
typedef enum ClassifoldYuvRange {
  // Luma 16 to 235, chroma 16 to 240, as in video.
  CLASSIFOLD_YUV_RANGE_LIMITED = 0,
  // 0 to 255, as in JPEG.
  CLASSIFOLD_YUV_RANGE_FULL = 1,
} ClassifoldYuvRange;

// An open model. Any number of threads may use it at once.
typedef struct ClassifoldClassifier ClassifoldClassifier;

// How a model is opened: provider, threads, thresholds. One may be used for several models.
typedef struct ClassifoldOptions ClassifoldOptions;

// The answer for one image.
typedef struct ClassifoldPrediction {
  // Whether there is an answer; the other fields are 0 where it is not `CLASSIFOLD_STATUS_OK`.
  enum ClassifoldStatus status;
  // Whether the probability is below the threshold of the options or of the model's card: the image is of no class
  // that the model is sure of.
  bool is_rejected;
  // The most probable class; `classifold_class_name` has its name.
  size_t index;
  // Its probability, 0 to 1.
  float probability;
  // How much more probable it is than the second class.
  float margin;
} ClassifoldPrediction;

// Interleaved pixels, row by row from the upper left.
typedef struct ClassifoldPixels {
  // The first row.
  const uint8_t *bytes;
  // Bytes that may be read from there on: at least `row_stride * (height - 1)` and a row.
  size_t len;
  // Bytes from the start of a row to the start of the next.
  size_t row_stride;
  // In pixels.
  uint32_t width;
  // In pixels.
  uint32_t height;
  // A `ClassifoldPixelFormat`.
  uint32_t format;
} ClassifoldPixels;

// A frame of a camera or a video decoder: a plane of luma, and one of chroma in half the width and height with Cb and
// Cr in turns.
typedef struct ClassifoldNv12 {
  // The first row of luma.
  const uint8_t *luma;
  // Bytes that may be read from there on.
  size_t luma_len;
  // Bytes from a row of luma to the next.
  size_t luma_stride;
  // The first row of chroma.
  const uint8_t *chroma;
  // Bytes that may be read from there on.
  size_t chroma_len;
  // Bytes from a row of chroma to the next.
  size_t chroma_stride;
  // In pixels.
  uint32_t width;
  // In pixels.
  uint32_t height;
  // A `ClassifoldYuvMatrix`.
  uint32_t matrix;
  // A `ClassifoldYuvRange`.
  uint32_t range;
} ClassifoldNv12;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Opens a model file that carries a card. `options` may be NULL. Give the classifier back with `classifold_close`;
// it is NULL where opening fails.
//
// # Safety
// `model` is a text, `options` NULL or of `classifold_options_new`, `classifier` may be written.
enum ClassifoldStatus classifold_open(const char *model,
                                      const struct ClassifoldOptions *options,
                                      struct ClassifoldClassifier **classifier);

// As `classifold_open`, of the bytes of a model file, which are copied.
//
// # Safety
// `bytes` is valid for `len` bytes; the rest as for `classifold_open`.
enum ClassifoldStatus classifold_open_bytes(const uint8_t *bytes,
                                            size_t len,
                                            const struct ClassifoldOptions *options,
                                            struct ClassifoldClassifier **classifier);

// Closes a classifier; NULL is allowed.
//
// # Safety
// `classifier` is of `classifold_open` or `classifold_open_bytes`, and no thread uses it any more.
void classifold_close(struct ClassifoldClassifier *classifier);

// Number of classes `K`; 0 for NULL.
//
// # Safety
// `classifier` is NULL or open.
size_t classifold_num_classes(const struct ClassifoldClassifier *classifier);

// Name of a class in UTF-8, valid until the classifier is closed; NULL where there is no such class.
//
// # Safety
// `classifier` is NULL or open.
const char *classifold_class_name(const struct ClassifoldClassifier *classifier, size_t index);

// Classifies an image file. `prediction` gets the answer, `probabilities` and `logits` get `K` numbers each; what is
// not wanted may be NULL.
//
// # Safety
// `classifier` is open, `image` a text; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_file(const struct ClassifoldClassifier *classifier,
                                               const char *image,
                                               struct ClassifoldPrediction *prediction,
                                               float *probabilities,
                                               float *logits);

// Classifies the bytes of an image file, such as a JPEG. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `bytes` valid for `len` bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_bytes(const struct ClassifoldClassifier *classifier,
                                                const uint8_t *bytes,
                                                size_t len,
                                                struct ClassifoldPrediction *prediction,
                                                float *probabilities,
                                                float *logits);

// Classifies pixels where they lie. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `pixels` valid with its bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_pixels(const struct ClassifoldClassifier *classifier,
                                                 const struct ClassifoldPixels *pixels,
                                                 struct ClassifoldPrediction *prediction,
                                                 float *probabilities,
                                                 float *logits);

// Classifies a frame of a camera or a video decoder where it lies. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `frame` valid with its planes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_nv12(const struct ClassifoldClassifier *classifier,
                                               const struct ClassifoldNv12 *frame,
                                               struct ClassifoldPrediction *prediction,
                                               float *probabilities,
                                               float *logits);

// Classifies `count` images of pixels in batches, on all sessions. `predictions` gets `count` answers,
// `probabilities` and `logits` get `count * K` numbers each, image by image; what is not wanted may be NULL. An image
// that cannot be answered fails no other: its prediction has its status, its numbers are NaN, and the call returns the
// status of the first such image. The time limit of the options does not hold here.
//
// # Safety
// `classifier` is open, `images` valid for `count` images with their bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_many(const struct ClassifoldClassifier *classifier,
                                               const struct ClassifoldPixels *images,
                                               size_t count,
                                               struct ClassifoldPrediction *predictions,
                                               float *probabilities,
                                               float *logits);

// Options with their defaults: the CPU, one session with a thread for each core. Give them back with
// `classifold_options_free`.
struct ClassifoldOptions *classifold_options_new(void);

// Gives options back; NULL is allowed. Classifiers that were opened with them stay as they are.
//
// # Safety
// `options` is of `classifold_options_new` and is used no more.
void classifold_options_free(struct ClassifoldOptions *options);

// Where the model runs: `cpu`, `cuda`, `cuda:1`, `tensorrt`, `tensorrt-rtx`, `openvino`, `openvino:gpu`.
//
// # Safety
// `options` is of `classifold_options_new`, `provider` a text.
enum ClassifoldStatus classifold_options_set_provider(struct ClassifoldOptions *options,
                                                      const char *provider);

// What the model computes in: `fp32` (the default), `fp16`, `bf16`, `tf32`, `int8`.
//
// # Safety
// `options` is of `classifold_options_new`, `precision` a text.
enum ClassifoldStatus classifold_options_set_precision(struct ClassifoldOptions *options,
                                                       const char *precision);

// Threads inside one run of the model; 0 is one for each core.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_threads(struct ClassifoldOptions *options, size_t threads);

// Sessions of the model, and so calls that run at the same time; 0 is one. Each has its own copy of the weights.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_sessions(struct ClassifoldOptions *options,
                                                      size_t sessions);

// For a server of single images on the CPU: a session of one thread for each core, at most 8, which do not spin.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_for_server(struct ClassifoldOptions *options,
                                                        bool for_server);

// Whether the setting that `deploy tune` saved for this model on this machine is used.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_tuned(struct ClassifoldOptions *options, bool tuned);

// The least probability of an answer, 0 to 1, in place of the card's: less sure predictions are rejected.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_reject_below(struct ClassifoldOptions *options,
                                                          float probability);

// The longest time of a call that classifies one image, in milliseconds; 0 is no limit. Decoding is not interrupted.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_timeout(struct ClassifoldOptions *options,
                                                     uint32_t milliseconds);

// Path of the ONNX Runtime library, in place of the usual places (README.md lists them). A process has one: the first
// classifier decides.
//
// # Safety
// `options` is of `classifold_options_new`, `library` a text.
enum ClassifoldStatus classifold_options_set_runtime(struct ClassifoldOptions *options,
                                                     const char *library);

// Whether an ONNX Runtime that sends telemetry is loaded, although the environment does not forbid it to.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_allow_telemetry(struct ClassifoldOptions *options, bool allow);

// What went wrong in this thread's last call that failed; empty before any did. Valid until the next call that fails
// in this thread.
const char *classifold_error_message(void);

// How to mend it; NULL where that is not known. Valid as long as the message.
const char *classifold_error_hint(void);

// Version of this library, such as `0.1.0`.
const char *classifold_version(void);

// Opens a model file that carries a card. `options` may be NULL. Give the classifier back with `classifold_close`;
// it is NULL where opening fails.
//
// # Safety
// `model` is a text, `options` NULL or of `classifold_options_new`, `classifier` may be written.
enum ClassifoldStatus classifold_open(const char *model,
                                      const struct ClassifoldOptions *options,
                                      struct ClassifoldClassifier **classifier);

// As `classifold_open`, of the bytes of a model file, which are copied.
//
// # Safety
// `bytes` is valid for `len` bytes; the rest as for `classifold_open`.
enum ClassifoldStatus classifold_open_bytes(const uint8_t *bytes,
                                            size_t len,
                                            const struct ClassifoldOptions *options,
                                            struct ClassifoldClassifier **classifier);

// Closes a classifier; NULL is allowed.
//
// # Safety
// `classifier` is of `classifold_open` or `classifold_open_bytes`, and no thread uses it any more.
void classifold_close(struct ClassifoldClassifier *classifier);

// Number of classes `K`; 0 for NULL.
//
// # Safety
// `classifier` is NULL or open.
size_t classifold_num_classes(const struct ClassifoldClassifier *classifier);

// Name of a class in UTF-8, valid until the classifier is closed; NULL where there is no such class.
//
// # Safety
// `classifier` is NULL or open.
const char *classifold_class_name(const struct ClassifoldClassifier *classifier, size_t index);

// Classifies an image file. `prediction` gets the answer, `probabilities` and `logits` get `K` numbers each; what is
// not wanted may be NULL.
//
// # Safety
// `classifier` is open, `image` a text; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_file(const struct ClassifoldClassifier *classifier,
                                               const char *image,
                                               struct ClassifoldPrediction *prediction,
                                               float *probabilities,
                                               float *logits);

// Classifies the bytes of an image file, such as a JPEG. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `bytes` valid for `len` bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_bytes(const struct ClassifoldClassifier *classifier,
                                                const uint8_t *bytes,
                                                size_t len,
                                                struct ClassifoldPrediction *prediction,
                                                float *probabilities,
                                                float *logits);

// Classifies pixels where they lie. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `pixels` valid with its bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_pixels(const struct ClassifoldClassifier *classifier,
                                                 const struct ClassifoldPixels *pixels,
                                                 struct ClassifoldPrediction *prediction,
                                                 float *probabilities,
                                                 float *logits);

// Classifies a frame of a camera or a video decoder where it lies. The rest is as for `classifold_classify_file`.
//
// # Safety
// `classifier` is open, `frame` valid with its planes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_nv12(const struct ClassifoldClassifier *classifier,
                                               const struct ClassifoldNv12 *frame,
                                               struct ClassifoldPrediction *prediction,
                                               float *probabilities,
                                               float *logits);

// Classifies `count` images of pixels in batches, on all sessions. `predictions` gets `count` answers,
// `probabilities` and `logits` get `count * K` numbers each, image by image; what is not wanted may be NULL. An image
// that cannot be answered fails no other: its prediction has its status, its numbers are NaN, and the call returns the
// status of the first such image. The time limit of the options does not hold here.
//
// # Safety
// `classifier` is open, `images` valid for `count` images with their bytes; the others are NULL or may be written.
enum ClassifoldStatus classifold_classify_many(const struct ClassifoldClassifier *classifier,
                                               const struct ClassifoldPixels *images,
                                               size_t count,
                                               struct ClassifoldPrediction *predictions,
                                               float *probabilities,
                                               float *logits);

// Options with their defaults: the CPU, one session with a thread for each core. Give them back with
// `classifold_options_free`.
struct ClassifoldOptions *classifold_options_new(void);

// Gives options back; NULL is allowed. Classifiers that were opened with them stay as they are.
//
// # Safety
// `options` is of `classifold_options_new` and is used no more.
void classifold_options_free(struct ClassifoldOptions *options);

// Where the model runs: `cpu`, `cuda`, `cuda:1`, `tensorrt`, `tensorrt-rtx`, `openvino`, `openvino:gpu`.
//
// # Safety
// `options` is of `classifold_options_new`, `provider` a text.
enum ClassifoldStatus classifold_options_set_provider(struct ClassifoldOptions *options,
                                                      const char *provider);

// What the model computes in: `fp32` (the default), `fp16`, `bf16`, `tf32`, `int8`.
//
// # Safety
// `options` is of `classifold_options_new`, `precision` a text.
enum ClassifoldStatus classifold_options_set_precision(struct ClassifoldOptions *options,
                                                       const char *precision);

// Threads inside one run of the model; 0 is one for each core.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_threads(struct ClassifoldOptions *options, size_t threads);

// Sessions of the model, and so calls that run at the same time; 0 is one. Each has its own copy of the weights.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_sessions(struct ClassifoldOptions *options,
                                                      size_t sessions);

// For a server of single images on the CPU: a session of one thread for each core, at most 8, which do not spin.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_for_server(struct ClassifoldOptions *options,
                                                        bool for_server);

// Whether the setting that `deploy tune` saved for this model on this machine is used.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_tuned(struct ClassifoldOptions *options, bool tuned);

// The least probability of an answer, 0 to 1, in place of the card's: less sure predictions are rejected.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_reject_below(struct ClassifoldOptions *options,
                                                          float probability);

// The longest time of a call that classifies one image, in milliseconds; 0 is no limit. Decoding is not interrupted.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_timeout(struct ClassifoldOptions *options,
                                                     uint32_t milliseconds);

// Path of the ONNX Runtime library, in place of the usual places (README.md lists them). A process has one: the first
// classifier decides.
//
// # Safety
// `options` is of `classifold_options_new`, `library` a text.
enum ClassifoldStatus classifold_options_set_runtime(struct ClassifoldOptions *options,
                                                     const char *library);

// Whether an ONNX Runtime that sends telemetry is loaded, although the environment does not forbid it to.
//
// # Safety
// `options` is of `classifold_options_new`.
enum ClassifoldStatus classifold_options_set_allow_telemetry(struct ClassifoldOptions *options, bool allow);

// What went wrong in this thread's last call that failed; empty before any did. Valid until the next call that fails
// in this thread.
const char *classifold_error_message(void);

// How to mend it; NULL where that is not known. Valid as long as the message.
const char *classifold_error_hint(void);

// Version of this library, such as `0.1.0`.
const char *classifold_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CLASSIFOLD_H */
