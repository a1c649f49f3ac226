/* Classifies image files and prints a line for each: path, class, probability, parted by tabs.
 *
 *     classify MODEL IMAGE...
 */
#include <classifold.h>
#include <stdio.h>

static int failed(const char *subject) {
    const char *hint = classifold_error_hint();
    fprintf(stderr, "error: %s: %s\n", subject, classifold_error_message());
    if (hint != NULL) {
        fprintf(stderr, "hint: %s\n", hint);
    }
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL IMAGE...\n", argv[0]);
        return 2;
    }
    ClassifoldClassifier *classifier;
    if (classifold_open(argv[1], NULL, &classifier) != CLASSIFOLD_STATUS_OK) {
        return failed(argv[1]);
    }
    int status = 0;
    for (int i = 2; i < argc; i++) {
        ClassifoldPrediction prediction;
        if (classifold_classify_file(classifier, argv[i], &prediction, NULL, NULL) != CLASSIFOLD_STATUS_OK) {
            /* Another image may do; a broken model or machine ends the program. */
            status = failed(argv[i]);
            if (prediction.status != CLASSIFOLD_STATUS_IMAGE) {
                break;
            }
            continue;
        }
        const char *name = classifold_class_name(classifier, prediction.index);
        printf("%s\t%s\t%.9g\n", argv[i], prediction.is_rejected ? "unknown" : name, prediction.probability);
    }
    classifold_close(classifier);
    return status;
}
